-- id: setuid-file-made
-- title: File got the setuid bit
-- description: A file was made, or its permissions were changed, so that whoever starts it becomes
--   its owner (setuid), or one of its group (setgid), by whatever program, wherever the file is.
-- severity: medium
-- tags: attack.privilege-escalation, attack.persistence, attack.t1548.001
-- dedup: user_id, path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1548/001/
-- falsepositives: software that is installed from source, backups that are restored
-- author: DaemonEye
-- version: 2
-- date: 2026-12-01

-- Of what is changed by its path it is not known whether it is a directory, where the setgid bit
-- means another thing. Users who build packages set the bits below debian/ and such, container runtimes in
-- the layers of images.
SELECT time, event, entity_id, pid, user_name, executable_path, command_line, path, target_path, mode
FROM file_events
WHERE error IS NULL
  AND event IN ('chmod', 'create', 'mknod')
  AND (mode ~ '^0*[4567][0-7][0-7][0-7]$' AND coalesce(file_type, 'regular') = 'regular'
    OR mode ~ '^0*2[0-7][1357][0-7]$' AND file_type = 'regular')
  AND container_id IS NULL
  AND NOT (coalesce(path, '') ~ '/(debian|BUILDROOT)/' AND coalesce(user_id, 0) <> 0)
  AND coalesce(executable_path, '') !~ '/(dockerd|containerd|podman|buildah|crio|skopeo|ostree|rpm-ostree|flatpak|mmdebstrap|fakeroot[a-z-]*|faked[a-z-]*)$'
  AND coalesce(executable_path, '') !~ '/(dpkg|dpkg-deb|rpm|apt|apt-get|dnf[0-9.]*|microdnf|yum|zypper|pacman|apk|snapd)$'
  AND NOT coalesce(ancestors && ARRAY['/usr/bin/dpkg', '/usr/bin/rpm', '/usr/bin/dnf', '/usr/bin/dnf5', '/usr/bin/yum', '/usr/bin/zypper', '/usr/bin/pacman', '/sbin/apk', '/usr/sbin/apk'], false)
