-- id: startup-file-made
-- title: File was put where the system runs it at start or login
-- description: A program that is no package manager made a file for udev, the message of the
--   day, the init scripts, the modules to load, the desktop's start or the hooks of apt. All of
--   them are run, mostly as root.
-- severity: medium
-- tags: attack.persistence, attack.privilege-escalation, attack.t1037, attack.t1546,
--   attack.t1547
-- dedup: user_id, executable_path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1037/,
--   https://attack.mitre.org/techniques/T1546/, https://attack.mitre.org/techniques/T1547/
-- falsepositives: administrators and configuration management
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, event, entity_id, pid, user_name, executable_path, command_line, path, target_path
FROM file_events
WHERE error IS NULL
  AND event IN ('create', 'rename', 'link', 'symlink')
  AND (CASE event WHEN 'rename' THEN target_path ELSE path END) ~ '^/etc/(udev/rules\.d|update-motd\.d|init\.d|rc[0-9S]\.d|modules-load\.d|modprobe\.d|xdg/autostart|apt/apt\.conf\.d|NetworkManager/dispatcher\.d|profile\.d|X11/Xsession\.d|rc\.local$|network/if-(pre-)?up\.d)'
  AND coalesce(executable_path, '') !~ '/(insserv|update-rc\.d|systemd-[a-z0-9-]+|snapd)$'
  AND coalesce(executable_path, '') !~ '/(dpkg|dpkg-deb|rpm|apt|apt-get|dnf[0-9.]*|microdnf|yum|zypper|pacman|apk|snapd)$'
  AND NOT coalesce(ancestors && ARRAY['/usr/bin/dpkg', '/usr/bin/rpm', '/usr/bin/dnf', '/usr/bin/dnf5', '/usr/bin/yum', '/usr/bin/zypper', '/usr/bin/pacman', '/sbin/apk', '/usr/sbin/apk'], false)
