-- id: netcat-listens
-- title: Netcat, socat or a shell waits for connections
-- description: A tool that joins a connection to a program, or a shell itself, listens for
--   connections. A door is left open so.
-- severity: medium
-- tags: attack.command-and-control, attack.persistence, attack.t1571, attack.t1059.004
-- dedup: executable_path, local_port
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1571/
-- falsepositives: administrators who move a file
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, local_address, local_port, parent_command_line
FROM network_events
WHERE event = 'listen' AND result = 'success'
  AND executable_path ~ '/(nc|nc\.[a-z]+|ncat|netcat|socat[0-9]?|gs-netcat|(ba|da|k|z)?sh[0-9.-]*|[gm]?awk|busybox)$'
  AND coalesce(local_address, '') !~ '^(127\.|::1$)'
