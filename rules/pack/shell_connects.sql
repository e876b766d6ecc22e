-- id: shell-connects
-- title: Shell connected to the Internet
-- description: A shell itself, not a program that it has started, has made a
--   connection to a public address, as bash does for /dev/tcp and zsh with ztcp.
--   Reverse shells and downloads without curl work so, whatever their arguments
--   look like.
-- severity: high
-- tags: attack.execution, attack.command-and-control, attack.t1059.004, attack.t1095
-- dedup: entity_id, remote_address
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1059/004/
-- falsepositives: scripts that look with /dev/tcp whether a public host answers
-- author: DaemonEye
-- version: 1
-- date: 2026-11-30
SELECT time, entity_id, pid, user_name, executable_path, command_line, remote_address, remote_port, parent_executable_path
FROM network_events
WHERE event = 'connect' AND protocol = 'tcp' AND result = 'success'
  AND executable_path ~ '/(ba|z|k|da|rba|mk)?sh[0-9.-]*$'
  AND NOT (remote_address::inet <<= ANY (ARRAY['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16',
    '0.0.0.0/32', '::/127', 'fc00::/7', 'fe80::/10']::inet[]))
