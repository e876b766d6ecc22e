-- id: deceptive-file-name
-- title: Program is named like a document or can not be read from its name
-- description: The executable ends like a picture or a document, has characters that turn the
--   direction of writing, or ends in a blank.
-- severity: high
-- tags: attack.stealth, attack.initial-access, attack.t1036.002, attack.t1036.006,
--   attack.t1036.007
-- dedup: executable_path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1036/002/,
--   https://attack.mitre.org/techniques/T1036/006/,
--   https://attack.mitre.org/techniques/T1036/007/
-- falsepositives: none are known
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND (
    executable_path ~* '\.(pdf|docx?|xlsx?|pptx?|odt|ods|jpe?g|png|gif|mp[34]|txt|csv|zip)$'
    OR executable_path ~ '[\u202a-\u202e\u2066-\u2069\u200b-\u200f]'
    OR executable_path ~ ' $'
  )
