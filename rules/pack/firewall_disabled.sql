-- id: firewall-disabled
-- title: Firewall was emptied or switched off
-- description: A command removes all rules of the host's firewall, lets everything in by
--   default or stops it.
-- severity: medium
-- tags: attack.defense-impairment, attack.t1685
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1685/
-- falsepositives: administrators who set the firewall up anew
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND coalesce(parent_command_line, '') !~ '/var/lib/dpkg/(info|tmp\.ci)/'
  AND (
    (command_line ~ '(^|/)ip6?tables[a-z-]* ' AND command_line ~ ' (-F|--flush|-X)$')
    OR (command_line ~ '(^|/)ip6?tables[a-z-]* ' AND command_line ~ ' (-P|--policy) (INPUT|FORWARD) ACCEPT')
    OR (executable_path ~ '/nft$' AND command_line ~ ' (flush ruleset|delete table [a-z0-9]+ filter)')
    OR (command_line ~ '(^|/)ufw +(--force +)?(disable|reset)')
  )
