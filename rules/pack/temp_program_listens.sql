-- id: temp-program-listens
-- title: Program in a temporary directory waits for connections
-- description: A program that lies where anyone may write listens on an address that others can
--   reach.
-- severity: high
-- tags: attack.command-and-control, attack.persistence, attack.t1571, attack.t1036.005
-- dedup: executable_path, local_port
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1571/
-- falsepositives: test suites
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, local_address, local_port, parent_command_line
FROM network_events
WHERE event = 'listen' AND result = 'success'
  AND executable_path ~ '^/(tmp|var/tmp|dev/shm|run/shm|memfd:)'
  AND executable_path !~ '^/tmp/(go-build[0-9]+|\.mount_[^/]+)/'
  AND coalesce(parent_executable_path, '') !~ '^/tmp/go-build[0-9]+/'
  AND coalesce(local_address, '') !~ '^(127\.|::1$)'
