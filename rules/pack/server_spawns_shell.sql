-- id: server-spawns-shell
-- title: Web server or database started a shell
-- description: A shell's parent is a web server, an application server's worker or a
--   database. A web shell or an injected command usually shows itself so.
-- severity: high
-- tags: attack.persistence, attack.initial-access, attack.t1505.003, attack.t1190
-- dedup: parent_executable_path, command_line, user_id
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1505/003/, https://attack.mitre.org/techniques/T1190/
-- falsepositives: applications that call programs through a shell, CGI scripts
-- author: DaemonEye
-- version: 2
-- date: 2026-11-23

-- Sending mail, rotating logs and converting pictures are ordinary when the
-- command has nothing that chains another one. PostgreSQL runs its archive
-- and restore commands through a shell, and asks for the locales when a cluster is made.
SELECT time, entity_id, pid, user_name, command_line, parent_executable_path, parent_command_line
FROM process_events
WHERE event IN ('exec', 'seen')
  AND (executable_path ~ '/(ba|da|a|k|mk|z)?sh[0-9.]*$' OR invoked_path ~ '(^|/)-?(ba|da|a|k|mk|z)?sh$')
  AND parent_executable_path ~ '/(nginx|apache2|httpd|lighttpd|caddy|haproxy|php-fpm[0-9.]*|php-cgi[0-9.]*|uwsgi|gunicorn|mysqld|mariadbd|postgres|redis-server|valkey-server|mongod|memcached)$'
  AND command_line !~ '^[^ ]+ -c (exec )?[^ ]*/?(sendmail|msmtp|rotatelogs|cronolog|convert|magick|gs)( [^;|&`$<>]*)?$'
  AND NOT (parent_executable_path ~ '/postgres$' AND coalesce(parent_command_line, '') ~ '^postgres: .*(archiver|startup)')
  AND NOT (parent_executable_path ~ '/postgres$' AND command_line = 'sh -c locale -a')
