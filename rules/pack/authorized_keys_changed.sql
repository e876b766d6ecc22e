-- id: authorized-keys-changed
-- title: Keys that may log in by SSH were changed
-- description: A program that is no key or configuration tool wrote the list of keys with which
--   a user may log in.
-- severity: medium
-- tags: attack.persistence, attack.t1098.004
-- dedup: user_id, path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1098/004/
-- falsepositives: administrators who add a key with an editor, tools that set up hosts
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, event, entity_id, pid, user_name, executable_path, command_line, path, target_path
FROM file_events
WHERE error IS NULL
  AND event IN ('write', 'create', 'truncate', 'rename', 'link', 'symlink')
  AND (CASE event WHEN 'rename' THEN target_path ELSE path END) ~ '/\.ssh/authorized_keys2?$'
  AND coalesce(command_line, '') !~ '(cloud-init|/\.?ansible[-/]|puppet|chef-client|salt-minion|google_guest_agent|waagent)'
