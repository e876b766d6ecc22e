-- id: java-spawns-shell
-- title: Java ran a shell that looks around or fetches something
-- description: A shell below Java has commands of an intruder: the outcome of unsafe
--   deserialisation, of a template or of a look-up in a logged text.
-- severity: high
-- tags: attack.initial-access, attack.execution, attack.t1190, attack.t1059.004
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1190/,
--   https://attack.mitre.org/techniques/T1059/004/
-- falsepositives: build servers whose jobs fetch files
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND parent_executable_path ~ '/java$'
  AND executable_path ~ '/(ba|da|a|k|mk|z)?sh[0-9.]*$'
  AND command_line ~ ' -[a-z]*c '
  AND command_line ~ '(curl |wget |/dev/tcp/|base64 |[ ;|/](whoami|ifconfig)([ ;|]|$)|[ ;|]id([ ;|]|$)|[ ;|](nc|ncat) |uname -a|/etc/passwd)'
  AND coalesce(parent_command_line, '') !~ '(jenkins|gradle|maven|teamcity|bamboo)'
