-- id: container-socket-used
-- title: Container runtime was asked behind the client's back
-- description: A program other than a client of the runtime talks to its socket, or the socket
--   is given to a container. Whoever may write to it is root on the host.
-- severity: high
-- tags: attack.privilege-escalation, attack.execution, attack.t1611, attack.t1610
-- dedup: user_id, command_line
-- window: 1h
-- references: https://attack.mitre.org/techniques/T1611/,
--   https://attack.mitre.org/techniques/T1610/
-- falsepositives: tools that manage containers from within one
-- author: DaemonEye
-- version: 1
-- date: 2026-12-01
SELECT time, entity_id, pid, user_name, executable_path, command_line, parent_executable_path, parent_command_line, container_id
FROM process_events
WHERE event IN ('exec', 'seen')
  AND (
    (command_line ~ '(--unix-socket[ =]|UNIX-CONNECT:|-U )[^ ]*/(docker|containerd/containerd|crio/crio|podman/podman)\.sock')
    OR (executable_path ~ '/(docker|podman|nerdctl)[^/]*$' AND command_line ~ ' (run|create) ' AND command_line ~ '(-v|--volume|src=|source=)[ =]?/?(var/)?run/docker\.sock')
    OR (executable_path ~ '/(docker|ctr|crictl|nerdctl)$' AND container_id IS NOT NULL)
  )
