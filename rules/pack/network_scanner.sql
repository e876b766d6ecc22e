-- id: network-scanner
-- title: Network was scanned
-- description: A scanner of ports or hosts ran, or netcat went through a range of ports.
-- severity: low
-- tags: attack.discovery, attack.t1046, attack.t1018
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1046/,
--   https://attack.mitre.org/techniques/T1018/
-- falsepositives: administrators and monitoring
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND (
    executable_path ~ '/(nmap|masscan|zmap|rustscan|unicornscan|arp-scan|netdiscover|nbtscan|fping|hping3)$'
    OR (executable_path ~ '/(nc[.a-z]*|ncat|netcat)$' AND command_line ~ ' -[a-z0-9]*z' AND command_line ~ ' [0-9]+-[0-9]+( |$)')
    OR (executable_path ~ '/(ba|da|k|z)?sh$' AND command_line ~ '(for|seq|while) .*(ping -c ?1|/dev/tcp/)' AND command_line ~ '(\{1\.\.2[0-9]+\}|seq +(1 +)?2[0-9]+)')
  )
