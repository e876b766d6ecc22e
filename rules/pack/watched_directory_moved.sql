-- id: watched-directory-moved
-- title: Directory was moved away from where keys, settings or programs are watched
-- description: A directory that holds keys for the login, credentials, what starts programs, or
--   programs was renamed, exchanged or replaced by a symbolic link. What is changed in it while
--   it has another name is not seen where it is looked for.
-- severity: medium
-- tags: attack.stealth, attack.persistence, attack.credential-access, attack.t1564
-- dedup: user_id, path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1564/
-- falsepositives: users who set their settings aside (mv ~/.config ~/.config.old) or keep
--   them elsewhere by a link
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, event, entity_id, pid, user_name, executable_path, command_line, path, target_path, flags
FROM file_events
WHERE error IS NULL
  AND event IN ('rename', 'symlink')
  AND container_id IS NULL
  AND (CASE event WHEN 'rename' THEN concat_ws(E'\n', path, target_path) ELSE path END) ~ '(^|\n)(/etc(/(ssh|pam\.d|security|sudoers\.d|cron\.(d|hourly|daily|weekly|monthly)|systemd(/(system|user))?|polkit-1(/rules\.d)?|ld\.so\.conf\.d|profile\.d|init\.d|rc[0-9S]\.d|udev(/rules\.d)?|modprobe\.d|modules-load\.d|update-motd\.d|NetworkManager(/dispatcher\.d)?|xdg(/autostart)?|apt(/apt\.conf\.d)?|audit|rsyslog\.d|daemoneye))?|/boot|(/usr(/local)?)?/s?bin|/usr(/local)?(/lib)?|(/usr)?/lib(64)?(/systemd(/(system|user))?|/modules|(/[^/\n]+)?/security)?|/var(/lib|/spool(/(cron(/crontabs)?|at))?)?|/home(/[^/\n]+)?|/root|(/root|/home/[^/\n]+|/var/lib/[^/\n]+)/\.(ssh|config(/(systemd(/user)?|autostart|gcloud))?|aws|azure|kube|docker))($|\n)'
  AND coalesce(executable_path, '') !~ '/(usermod|systemd-homed|systemd-homework)$'
  AND coalesce(executable_path, '') !~ '/(dpkg|dpkg-deb|rpm|apt|apt-get|dnf[0-9.]*|microdnf|yum|zypper|pacman|apk|snapd)$'
  AND NOT coalesce(ancestors && ARRAY['/usr/bin/dpkg', '/usr/bin/rpm', '/usr/bin/dnf', '/usr/bin/dnf5', '/usr/bin/yum', '/usr/bin/zypper', '/usr/bin/pacman', '/sbin/apk', '/usr/sbin/apk'], false)
