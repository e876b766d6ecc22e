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
    executable_path ILIKE ANY (ARRAY['%.pdf', '%.doc', '%.docx', '%.xls', '%.xlsx', '%.ppt', '%.pptx', '%.odt', '%.ods', '%.jpg',
      '%.jpeg', '%.png', '%.gif', '%.mp3', '%.mp4', '%.txt', '%.csv', '%.zip'])
    OR executable_path LIKE ANY (ARRAY[E'%\u202a%', E'%\u202b%', E'%\u202c%', E'%\u202d%', E'%\u202e%', E'%\u2066%', E'%\u2067%', E'%\u2068%', E'%\u2069%',
      E'%\u200b%', E'%\u200c%', E'%\u200d%', E'%\u200e%', E'%\u200f%'])
    OR executable_path LIKE '% '
  )
