-- id: root-account-made
-- title: Another account with root's number was made
-- description: A command makes a user with the number 0, or writes such a line into the list of
--   users. It is root under a name that is overlooked.
-- severity: high
-- tags: attack.persistence, attack.privilege-escalation, attack.t1136.001
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1136/001/
-- falsepositives: none are known
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND (
    (executable_path ~ '/(useradd|usermod|adduser)$' AND command_line ~ ' (-u|--uid)[ =]?0( |$)')
    OR (executable_path ~ '/((ba|da|k|z)?sh|tee|sed|coreutils|busybox)$' AND command_line ~ ':0:0:[^:]*:[^:]*:[^ ]*' AND command_line ~ '/etc/passwd')
  )
