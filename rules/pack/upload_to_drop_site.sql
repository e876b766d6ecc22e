-- id: upload-to-drop-site
-- title: File was sent to a place for anyone's files
-- description: A command sends a file to a site where anybody can leave one, or to a chat by
--   its address for programs.
-- severity: high
-- tags: attack.exfiltration, attack.t1567
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1567/,
--   https://attack.mitre.org/techniques/T1567/002/
-- falsepositives: people who share a file so, scripts that write to a chat
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND executable_path ~ '/(curl|wget|wget2|http|https|python[0-9.]*|perl|nc[.a-z]*|(ba|da|k|z)?sh)$'
  AND command_line ~ '(transfer\.sh|file\.io|0x0\.st|ix\.io|termbin\.com|bashupload\.com|anonfiles|gofile\.io|catbox\.moe|pastebin\.com/api|paste\.rs|discord(app)?\.com/api/webhooks|api\.telegram\.org/bot|webhook\.site|requestbin|oshi\.at|temp\.sh|oast\.(fun|live|site|pro)|burpcollaborator)'
  AND command_line ~ '( -[a-zA-Z]*[TFd]|--(upload-file|form|data|post-file|post-data|body-file)|\||requests\.post|<)'
