/** The sample: Terraform that needs no provider, no cloud and no credentials. Resources take as long as they sleep. */

export const SETTINGS = `workspaces:
  - name: network
    directory: network
  - name: app
    directory: app
`;

export function network({ gateway = 'one gateway', more = '' } = {}): string {
  return `locals {
  subnets = { a = 1, b = 2, c = 3 }
}

resource "terraform_data" "network" {
  input = "10.20.0.0/16"
  provisioner "local-exec" {
    command = "sleep 1"
  }
}

resource "terraform_data" "gateway" {
  input = "${gateway} for \${terraform_data.network.output}"
  provisioner "local-exec" {
    command = "sleep 2"
  }
}

resource "terraform_data" "subnet" {
  for_each = local.subnets
  input    = cidrsubnet(terraform_data.network.output, 8, each.value)
  provisioner "local-exec" {
    command = "sleep \${2 * each.value}"
  }
}

resource "terraform_data" "route" {
  for_each = local.subnets
  input    = "\${terraform_data.subnet[each.key].output} via \${terraform_data.gateway.id}"
  provisioner "local-exec" {
    command = "sleep \${each.value}"
  }
}
${more}`;
}

export const DNS = `
resource "terraform_data" "dns" {
  input = "resolver of \${terraform_data.network.id}"
  provisioner "local-exec" {
    command = "sleep 2"
  }
}
`;

/** Nothing is called so. */
export const MISTAKE = `
output "gateway" {
  value = terraform_data.gatewy.output
}
`;

/** Services, each by a module that another repository holds. */
export function app(moduleSource: string, services: string[]): string {
  const blocks = services.map(
    (name) => `module "${name}" {
  source = "${moduleSource}"
  name   = "${name}"
}
`,
  );
  return blocks.join('\n');
}

export const SERVICE_MODULE = `variable "name" {
  type = string
}

resource "terraform_data" "service" {
  input = var.name
  provisioner "local-exec" {
    command = "sleep 1"
  }
}
`;

export const SERVICE_MODULE_WITH_ALARM = `${SERVICE_MODULE}
resource "terraform_data" "alarm" {
  input = "\${var.name} is down"
}
`;
