/** What GitHub says that a person may do in a repository. None: undefined. */
export type Access = 'read' | 'write' | 'admin';
