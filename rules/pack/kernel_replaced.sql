-- id: kernel-replaced
-- title: Another kernel was made ready to run
-- description: A kernel was loaded by kexec. It starts without the checks of the firmware and
--   without what watches this one.
-- severity: high
-- tags: attack.persistence, attack.stealth, attack.t1542
-- dedup: executable_path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1542/
-- falsepositives: kdump and systemd, under a name that is not known here
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, path, parent_command_line
FROM kernel_events
WHERE event = 'kexec' AND success
  AND coalesce(parent_command_line, '') !~ '(kdump|kexec-load)'
  AND coalesce(executable_path, '') !~ '/(kdumpctl|systemd|systemctl)$'
