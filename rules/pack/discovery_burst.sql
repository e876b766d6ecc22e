-- id: discovery-burst
-- title: Many questions about the host in a short time
-- description: One parent ran at least seven different commands that ask who one is, what the
--   host is, who else is there and what it is connected to, within five minutes. People who
--   have just broken in look around so.
-- severity: medium
-- tags: attack.discovery, attack.t1033, attack.t1082, attack.t1016, attack.t1049, attack.t1057
-- dedup: parent_entity_id
-- window: 5m
-- references: https://attack.mitre.org/techniques/T1033/,
--   https://attack.mitre.org/techniques/T1082/, https://attack.mitre.org/techniques/T1016/
-- falsepositives: administrators who look into a problem, scripts that take stock of hosts
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT max(time) AS time, parent_entity_id, min(user_name) AS user_name, min(parent_executable_path) AS parent_executable_path,
  min(parent_command_line) AS parent_command_line, count(DISTINCT regexp_replace(executable_path, '^.*/', '')) AS commands,
  string_agg(DISTINCT command_line, '; ' ORDER BY command_line) AS command_lines
FROM process_events
WHERE event = 'exec'
  AND time > now() - interval '5 minutes'
  AND executable_path ~ '/(id|whoami|w|who|last|lastlog|users|groups|hostname|hostnamectl|uname|arch|lscpu|lsblk|lsmod|lspci|lsof|ifconfig|ip|route|arp|ss|netstat|ps|top|getent|findmnt|uptime|dmidecode)$'
  AND coalesce(parent_command_line, '') !~ '(configure|config\.guess|/var/lib/dpkg/)'
GROUP BY parent_entity_id
HAVING count(DISTINCT regexp_replace(executable_path, '^.*/', '')) >= 7
