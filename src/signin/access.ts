/** What GitHub says somebody may do with a repository; nothing at all: undefined. */
export type Access = 'read' | 'write' | 'admin';
