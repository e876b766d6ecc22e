-- id: script-from-hidden-place
-- title: Interpreter runs a script from shared memory or a hidden place
-- description: A shell or another interpreter was given a script that lies in shared memory, or
--   under a hidden name in a temporary directory. Nothing that is meant to be found is put
--   there.
-- severity: high
-- tags: attack.execution, attack.stealth, attack.t1059, attack.t1564.001
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1059/,
--   https://attack.mitre.org/techniques/T1564/001/
-- falsepositives: test suites that hide their scripts
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND executable_path ~ '/((ba|da|k|z|mk|a)?sh|busybox|python[0-9.]*|perl[0-9.]*|ruby[0-9.]*|php[0-9.]*|node)$'
  AND command_line ~ '^[^ ]+( -[A-Za-z]+)* (/(dev/shm|run/shm|dev/mqueue)/|/(var/)?tmp/([^ /]+/)*\.[^ /]+)'
