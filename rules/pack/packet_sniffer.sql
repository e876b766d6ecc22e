-- id: packet-sniffer
-- title: Network traffic is recorded
-- description: A program that records packets runs. It is a tool of every
--   network administrator, and of an intruder who looks for passwords.
-- severity: low
-- tags: attack.credential-access, attack.discovery, attack.t1040
-- dedup: user_id, executable_path
-- window: 1d
-- references: https://attack.mitre.org/techniques/T1040/
-- falsepositives: analysis of network faults
-- author: DaemonEye
-- version: 1
-- date: 2026-11-23
SELECT time, entity_id, pid, user_name, executable_path, command_line, tty, parent_executable_path
FROM process_events
WHERE event IN ('exec', 'seen')
  AND executable_path ~ '/(tcpdump|tshark|dumpcap|dsniff|ettercap[a-z-]*|ngrep|netsniff-ng|bettercap)$'
  AND command_line !~ ' (--version|--help|-h|-D|--list-interfaces|-r [^ ]+.*)$'
