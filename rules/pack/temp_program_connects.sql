-- id: temp-program-connects
-- title: Program in a temporary directory connected to the Internet
-- description: A program that lies where anyone may write has made a connection to a public
--   address.
-- severity: high
-- tags: attack.command-and-control, attack.t1071, attack.t1105
-- dedup: executable_path, remote_address
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1071/
-- falsepositives: self-extracting installers
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, remote_address, remote_port, parent_command_line
FROM network_events
WHERE event = 'connect' AND protocol = 'tcp' AND result = 'success'
  AND executable_path ~ '^/(tmp|var/tmp|dev/shm|run/shm|memfd:)'
  AND executable_path !~ '^/tmp/(go-build[0-9]+|\.mount_[^/]+)/'
  AND coalesce(parent_executable_path, '') !~ '^/tmp/go-build[0-9]+/'
  AND NOT (remote_address::inet <<= ANY (ARRAY['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '127.0.0.0/8', '169.254.0.0/16',
    '0.0.0.0/32', '::/127', 'fc00::/7', 'fe80::/10']::inet[]))
