-- id: encryption-burst
-- title: Many files were encrypted one after another
-- description: One parent ran a tool that encrypts files at least twenty times within two
--   minutes.
-- severity: high
-- tags: attack.impact, attack.t1486
-- dedup: parent_entity_id
-- window: 5m
-- references: https://attack.mitre.org/techniques/T1486/
-- falsepositives: backups that encrypt each file by itself
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT max(time) AS time, parent_entity_id, min(user_name) AS user_name, count(*) AS files,
  min(parent_command_line) AS parent_command_line, min(command_line) AS command_line
FROM process_events
WHERE event = 'exec'
  AND time > now() - interval '2 minutes'
  AND (
    (executable_path ~ '/openssl$' AND command_line ~ ' (enc|smime|cms|aes-[0-9]+-[a-z]+) ' AND command_line ~ ' -(in|out|e|encrypt|k|pass) ')
    OR (executable_path ~ '/(gpg2?|age|ccencrypt|mcrypt|aescrypt)$' AND command_line ~ '( -[a-z]*[ce]| --(symmetric|encrypt)|^[^ ]*(age|ccencrypt|mcrypt|aescrypt) )')
    OR (executable_path ~ '/(7z[ar]?|7zz|zip|rar)$' AND command_line ~ ' (-p[^ ]+|-P ?[^ ]+|--password|-hp[^ ]+)')
  )
GROUP BY parent_entity_id
HAVING count(*) >= 20
