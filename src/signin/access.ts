export type Access = 'read' | 'write' | 'admin';
