const REASONS: Record<string, string> = {
  replace_because_tainted: 'It is tainted: its creation, or a provisioner, failed.',
  replace_because_cannot_update: 'A change to it can only be made by replacing it.',
  replace_by_request: 'Its replacement was asked for.',
  replace_by_triggers: 'Something that its replace_triggered_by names changes.',
  delete_because_no_resource_config: 'It is no longer in the configuration.',
  delete_because_no_module: 'Its module is no longer in the configuration.',
  delete_because_wrong_repetition: 'It no longer has, or now has, count or for_each.',
  delete_because_count_index: 'Its index is beyond its count.',
  delete_because_each_key: 'Its key is no longer in its for_each.',
  delete_because_no_move_target: 'What it was to be moved to is not in the configuration.',
  read_because_config_unknown: 'Something that it is read by is known only after the apply.',
  read_because_dependency_pending: 'Something that it depends on changes first.',
  read_because_check_nested: 'It is read at the end, for a check.',
};

/** Terraform's `action_reason` in plain words; one that came after this was written, in its own. */
export function reasonText(reason: unknown): string | undefined {
  if (typeof reason !== 'string' || reason === '' || reason === 'none') return undefined;
  return Object.hasOwn(REASONS, reason) ? REASONS[reason] : `${reason.replaceAll('_', ' ')}.`;
}
