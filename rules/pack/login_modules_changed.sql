-- id: login-modules-changed
-- title: Modules or rules of the login were changed
-- description: A program that is no package manager wrote the rules of PAM or put a library
--   among its modules. A module sees every password, and can let in whoever knows another one.
-- severity: high
-- tags: attack.credential-access, attack.persistence, attack.defense-impairment,
--   attack.t1556.003
-- dedup: user_id, executable_path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1556/003/
-- falsepositives: administrators who configure PAM by hand
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, event, entity_id, pid, user_name, executable_path, command_line, path, target_path
FROM file_events
WHERE error IS NULL
  AND event IN ('write', 'create', 'truncate', 'rename', 'link', 'symlink')
  AND (CASE event WHEN 'rename' THEN target_path ELSE path END) ~ '^(/etc/pam\.d/|/etc/security/[a-z_]+\.conf$|(/usr)?/lib(64)?/([a-z0-9_-]+/)?security/.*\.so)'
  AND coalesce(executable_path, '') !~ '/(pam-auth-update|authselect|authconfig)$'
  AND coalesce(command_line, '') !~ '(pam-auth-update|/\.?ansible[-/])'
  AND coalesce(executable_path, '') !~ '/(dpkg|dpkg-deb|rpm|apt|apt-get|dnf[0-9.]*|microdnf|yum|zypper|pacman|apk|snapd)$'
  AND NOT coalesce(ancestors && ARRAY['/usr/bin/dpkg', '/usr/bin/rpm', '/usr/bin/dnf', '/usr/bin/dnf5', '/usr/bin/yum', '/usr/bin/zypper', '/usr/bin/pacman', '/sbin/apk', '/usr/sbin/apk'], false)
