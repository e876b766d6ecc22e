-- id: document-spawns-shell
-- title: Office program, mail reader or browser ran a shell that fetches something
-- description: A program that shows documents, mails or pages started a shell or an interpreter
--   whose command fetches or decodes something.
-- severity: high
-- tags: attack.execution, attack.initial-access, attack.t1204.002, attack.t1059, attack.t1203
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1204/002/,
--   https://attack.mitre.org/techniques/T1203/
-- falsepositives: extensions that update themselves through a shell
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND parent_executable_path ~ '/(soffice\.bin|oosplash|evince|okular|xpdf|atril|thunderbird[a-z-]*|evolution|firefox[a-z-]*|chrome|chromium[a-z-]*|brave|opera|vivaldi[a-z-]*|file-roller|ark|eog)$'
  AND executable_path ~ '/((ba|da|a|k|mk|z)?sh|python[0-9.]*|perl|ruby[0-9.]*|node)$'
  AND command_line ~ ' -[a-z]*[ce] '
  AND command_line ~ '(curl |wget |/dev/tcp/|base64|urlopen|requests\.get|socket|mkfifo|[ ;|](nc|ncat) )'
