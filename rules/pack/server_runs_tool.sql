-- id: server-runs-tool
-- title: Web server or database started a tool of intruders
-- description: A program that looks around, fetches files or opens connections was started
--   directly by a web server, an application server or a database.
-- severity: high
-- tags: attack.initial-access, attack.persistence, attack.execution, attack.t1505.003,
--   attack.t1190
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1505/003/,
--   https://attack.mitre.org/techniques/T1190/
-- falsepositives: applications that call curl or wget themselves
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND parent_executable_path ~ '/(nginx|apache2|httpd|lighttpd|caddy|php-fpm[0-9.]*|php-cgi[0-9.]*|uwsgi|gunicorn|mysqld|mariadbd|postgres|redis-server|valkey-server|mongod|memcached)$'
  AND executable_path ~ '/(id|whoami|uname|hostname|ifconfig|ip|netstat|ss|wget|curl|nc[.a-z]*|ncat|socat|python[0-9.]*|perl|chmod|crontab|base64)$'
  AND executable_path <> parent_executable_path
