-- id: compiler-below-server
-- title: Compiler ran below a web server or database
-- description: A compiler's ancestors include a web server, an application server or a
--   database. Exploits for the kernel are often brought as source and built on the spot.
-- severity: medium
-- tags: attack.stealth, attack.t1027.004
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1027/004/
-- falsepositives: applications that build extensions on first use
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line, ancestors
FROM process_events
WHERE event IN ('exec', 'seen')
  AND executable_path ~ '(/|-linux-gnu-)(gcc|g\+\+|cc|c\+\+|clang|clang\+\+|tcc|ld|as|make|go|rustc)(-[0-9.]+)?$'
  AND array_to_string(ancestors, ' ') ~ '/(nginx|apache2|httpd|lighttpd|caddy|php-fpm[0-9.]*|php-cgi[0-9.]*|uwsgi|gunicorn|mysqld|mariadbd|postgres|redis-server|valkey-server|mongod)( |$)'
