-- id: credential-file-opened
-- title: Password hashes or host keys were opened by an unusual program
-- description: A program that neither lets users in nor manages them opened /etc/shadow, a copy
--   of it, a Kerberos keytab or a private key of the SSH server, by whatever command, script or
--   redirection of a shell.
-- severity: high
-- tags: attack.credential-access, attack.t1003.008, attack.t1552.004
-- dedup: user_id, executable_path
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1003/008/, https://attack.mitre.org/techniques/T1552/004/
-- falsepositives: backup software, scripts that manage users, an administrator who looks at
--   the file
-- author: DaemonEye
-- version: 3
-- date: 2026-12-01

-- The usual readers are known by where packages put them, which only root can write. Ansible's
-- module for users reads /etc/shadow, and so does Perl when root asks for a user, as Debian's
-- adduser and dpkg-preconfigure do. In a container programs may lie anywhere.
SELECT time, entity_id, pid, user_name, executable_path, command_line, path, parent_command_line
FROM file_events
WHERE event = 'read' AND error IS NULL
  AND container_id IS NULL
  AND path ~ '^/etc/(g?shadow-?|krb5\.keytab|ssh/ssh_host_[a-z0-9]+_key)$'
  -- passwords and accounts
  AND executable_path !~ '^/(usr/(local/)?)?(s?bin|lib|libexec)/(user(add|del|mod)|group(add|del|mod|mems)|newusers|gpasswd|passwd|ch(g?passwd|sh|fn|age)|expiry|vi(pw|gr)|(pw|grp)(ck|conv|unconv)|update-passwd|l(user|group)(add|del|mod)|lpasswd|lchage|accounts-daemon|accountsservice/accounts-daemon)$'
  -- logins, and what asks for a password
  AND executable_path !~ '^/(usr/(local/)?)?(s?bin|lib|lib64|libexec)/([a-z0-9_+-]+/)*(login|sulogin|su|su-rs|sudo(\.ws|-rs)?|doas|runuser|pkexec|polkit(d|-agent-helper-1)|newgrp|unix_(chkpwd|update)|pwhistory_helper|mkhomedir_helper|sshd(-session|-auth|-keygen)?|ssh-key(gen|sign)|dropbear|systemd|systemd-[a-z]+|init|crond?|at|atd|fcron|gdm-session-worker|sddm(-helper)?|lightdm|lxdm|xdm|greetd|kcheckpass|kscreenlocker_greet|xscreensaver-auth|cinnamon-screensaver-pam-helper|swaylock|i3lock|xrdp-ses(man|exec)|cockpit-session)$'
  -- servers that let users in
  AND executable_path !~ '^/(usr/(local/)?)?(s?bin|lib|lib64|libexec)/([a-z0-9_+-]+/)*(dovecot/auth|saslauthd|vsftpd|proftpd|pure-(ftpd|authd)|smbd|samba|winbindd|cupsd|radiusd|freeradius|openvpn|nscd|nslcd|sssd|sssd_[a-z]+|(ldap|krb5)_child|krb5kdc|kadmin[a-z.]*|kinit|klist|ktutil|k5start|rpc\.(svc)?gssd|gssproxy|adcli|realmd|msktutil|httpd|apache2)$'
  -- what compares all files with those of packages, or with signatures
  AND executable_path !~ '^/(usr/(local/)?)?s?bin/(aide|tripwire|clamd|clamscan|osqueryd)$'
  AND executable_path !~ '/(dpkg|dpkg-deb|rpm|apt|apt-get|dnf[0-9.]*|microdnf|yum|zypper|pacman|apk|snapd)$'
  AND NOT coalesce(ancestors && ARRAY['/usr/bin/dpkg', '/usr/bin/rpm', '/usr/bin/dnf', '/usr/bin/dnf5', '/usr/bin/yum', '/usr/bin/zypper', '/usr/bin/pacman', '/sbin/apk', '/usr/sbin/apk'], false)
  AND NOT (executable_path ~ '/(busybox|bbsuid)$' AND coalesce(command_line, '') ~ '^(-|[^ ]*/)?(login|su|passwd|(add|del)(user|group)|chpasswd|crond)( |$)')
  AND NOT (executable_path ~ '/python[0-9.]*$' AND coalesce(command_line, '') ~ '/\.?ansible[-/]')
  AND NOT (executable_path ~ '/perl[0-9.]*$' AND coalesce(command_line, '') ~ '^([^ ]*/)?perl( -[a-zA-Z]+)* /usr/(s?bin|share/debconf)/[a-z0-9_.-]+( |$)')
  -- Debian's daily copy
  AND NOT (executable_path ~ '/(cmp|cp)$' AND coalesce(command_line, '') ~ '^(cmp -s (/var/backups/)?g?shadow\.bak /etc/g?shadow|cp -p /etc/g?shadow (/var/backups/)?g?shadow\.bak)$'
    AND coalesce(parent_command_line, '') ~ '/etc/cron\.daily/passwd')
