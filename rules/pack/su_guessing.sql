-- id: su-guessing
-- title: su failed again and again
-- description: One user's su ended without success at least five times within two minutes.
--   Passwords are guessed so once somebody is on the host.
-- severity: high
-- tags: attack.credential-access, attack.t1110.001
-- dedup: user_id
-- window: 5m
-- references: https://attack.mitre.org/techniques/T1110/001/
-- falsepositives: somebody who forgot the password
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT max(time) AS time, user_id, min(user_name) AS user_name, count(*) AS failures,
  min(parent_command_line) AS parent_command_line, min(command_line) AS command_line
FROM process_events
WHERE event = 'exit'
  AND time > now() - interval '2 minutes'
  AND executable_path LIKE '%/su'
  AND exit_code = 1 AND duration < 10
GROUP BY user_id
HAVING count(*) >= 5
