-- id: file-sent-by-command
-- title: File of the system was sent away
-- description: A command that speaks HTTP or FTP was given a file to send that holds accounts,
--   keys or configuration.
-- severity: high
-- tags: attack.exfiltration, attack.t1048, attack.t1048.003
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1048/
-- falsepositives: none are known
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND executable_path ~ '/(curl|wget|wget2|http|https|lwp-request|ftp|tftp)$'
  AND command_line ~ '(@|-T ?|--upload-file[ =]|--post-file[ =]|--body-file[ =]|<)["'']?(/etc/(passwd|shadow|group|sudoers|ssh|hosts|kubernetes)|/root/|/home/[^ /]+/\.[a-z]|/proc/|/var/lib/(mysql|postgresql)|[^ ]*/id_(rsa|ed25519|ecdsa)|[^ ]*\.(kdbx|pem|ovpn))'
