-- id: tunnel-tool
-- title: Tunnel out of the network was opened
-- description: A tool that leads connections through a firewall ran: by DNS, by HTTP or through
--   somebody's relay.
-- severity: medium
-- tags: attack.command-and-control, attack.t1572, attack.t1090
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1572/,
--   https://attack.mitre.org/techniques/T1090/
-- falsepositives: developers who show their work
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND (
    executable_path ~ '/(iodine|iodined|dnscat2?|dns2tcpc?|ptunnel[a-z-]*|icmptunnel|chisel|frpc|ngrok|gost|ligolo[a-z-]*|revsocks|rathole|bore|localtunnel|gs-netcat|pwncat|pagekite[^/]*)$'
    OR (executable_path ~ '/cloudflared$' AND command_line ~ ' tunnel .*--url')
    OR (executable_path ~ '/ssh$' AND command_line ~ ' -[a-zA-Z0-9]*R ?[^ ]*:[0-9]' AND command_line ~ ' -[a-zA-Z]*[fN]' AND command_line ~ 'StrictHostKeyChecking[= ]no')
  )
