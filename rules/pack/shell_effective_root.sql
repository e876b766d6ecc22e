-- id: shell-effective-root
-- title: Shell kept root's rights for another user
-- description: A shell runs with the rights of root for a user who is not root. A copy of a
--   shell with the setuid bit does so when it is started with -p; sudo and su change both.
-- severity: high
-- tags: attack.privilege-escalation, attack.t1548.001
-- dedup: user_id, executable_path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1548/001/
-- falsepositives: setuid programs that call a shell
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line, user_id, effective_user_id
FROM process_events
WHERE event IN ('exec', 'seen')
  AND effective_user_id = 0 AND user_id <> 0
  AND (executable_path ~ '/(ba|da|a|k|mk|z)?sh[0-9.]*$' OR name ~ '^(ba|da|k|z)?sh$' OR command_line ~ '^[^ ]+ -p$')
