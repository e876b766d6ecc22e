-- id: web-script-dropped
-- title: Web server wrote a script below its own root
-- description: A web server or an application server made a file that it would run itself when
--   asked for. A web shell is put in place so.
-- severity: high
-- tags: attack.persistence, attack.t1505.003
-- dedup: executable_path, path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1505/003/
-- falsepositives: content management systems that update themselves or install plugins
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, event, entity_id, pid, user_name, executable_path, command_line, path, target_path
FROM file_events
WHERE error IS NULL
  AND event IN ('create', 'rename', 'link', 'symlink')
  AND (starts_with(path, '/var/www/') OR starts_with(path, '/srv/www/') OR starts_with(path, '/usr/share/nginx/'))
  AND (CASE event WHEN 'rename' THEN target_path ELSE path END) ~* '\.(php[0-9]?|phtml|phar|jspx?|aspx?|cgi|pl|war)$'
  AND executable_path ~ '/(nginx|apache2|httpd|lighttpd|caddy|php-fpm[0-9.]*|php-cgi[0-9.]*|uwsgi|gunicorn|java)$'
