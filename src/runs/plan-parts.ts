/** A keyed hash, in hex. */
export type Hash = string;
export type Hashes = Record<string, Hash>;

export interface PlanParts {
  /** Of this way of taking a plan apart. */
  version: 1;
  /** Each section in whole, so that nothing in it goes unnoticed, whatever its shape. */
  sections: { resources: Hash; outputs: Hash; configuration: Hash; inputs: Hash };
  resources: Record<string, ResourcePart>;
  outputs: Record<string, { action: string; hash: Hash }>;
  configuration: Record<string, ConfigurationPart>;
  /** The root module's variables as this plan has them, from wherever: also `terraform.tfvars` and defaults. */
  inputs: Hashes;
  variables: Hashes;
  lockFile: Hash | null;
  modules: Hashes;
}

export interface ResourcePart {
  action: string;
  hash: Hash;
  /** Of the attributes, for saying which differ; only where something is to be done. */
  attributes?: Hashes;
}

export interface ConfigurationPart {
  arguments: Hash;
  provisioners?: Hash;
}
