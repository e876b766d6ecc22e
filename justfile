# `npm install -g rust-just` brings just.

static := "-trimpath -buildvcs=false -tags 'osusergo netgo'"
version := `git describe --tags --always --dirty 2>/dev/null || echo unknown`
ldflags := "-linkmode external -extldflags \"-static\" -s -w -X main.version=" + version

# list the recipes
default:
    @just --list

# format all Go code
fmt:
    go run mvdan.cc/gofumpt@v0.12.0 -w .

# vet for every platform, staticcheck, formatting
lint:
    test -z "$(go run mvdan.cc/gofumpt@v0.12.0 -l . | tee /dev/stderr)"
    go vet ./...
    CGO_ENABLED=0 GOOS=darwin go vet ./...
    CGO_ENABLED=0 GOOS=windows go vet ./...
    go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

# everything that has tests
test:
    go test ./...

# packages by themselves
test-unit:
    go test -short ./bus/... ./platform/... ./store/... ./ledger/... ./rules/...

# the roles together, the real binary in scripts
test-integration:
    go test ./roles/...

# storms, connections and files while the agent is killed five times, as root
test-mixed time="10m":
    go test ./roles -run '^TestMixedLoad$' -mixed {{ time }} -v -timeout 2h

# every fuzz test for a number of inputs each, or a time: just test-fuzz 10m
# A time can end in "context deadline exceeded" without a failing input
# (go.dev/issue/75804, mended in Go 1.27); a number can not.
test-fuzz budget="100000x":
    #!/usr/bin/env bash
    set -euo pipefail
    for package in $(go list ./...); do
        for name in $(go test -list '^Fuzz' "$package" | grep '^Fuzz' || true); do
            echo "$package $name"
            go test -run '^$' -fuzz "^$name\$" -fuzztime {{ budget }} "$package"
        done
    done

# the benchmarks of docs/performance.md
bench:
    go test -run '^$' -bench . -benchmem -timeout 30m ./bus/... ./platform/... ./store/... ./rules/... ./roles/...

# the query engine beside DuckDB, PostgreSQL and SQLite: just bench-sql 1000000
bench-sql rows="10000000" *args:
    go test ./roles/history -run '^(TestPeers|TestIngestBesideQueries)$' -rows {{ rows }} -v -timeout 6h {{ args }}

# events from the kernel beside auditd, bpftrace and forkstat, as root: just bench-kernel 10s
bench-kernel storm="6s" *args:
    go test ./roles -run '^TestStormPeers$' -storm {{ storm }} -v -timeout 1h {{ args }}
    go test ./roles -run '^$' -bench Latency -benchtime 2000x
    go test -p 1 -run '^$' -bench Scan10000 -benchtime 20x ./platform/bpf ./platform/procfs
    go test ./roles -run '^$' -bench Idle/busy -benchtime 1x

# thousands of rules over a stream of events, on one core, beside sigma-go; reloads under it; alerts until they are stored
bench-detect *args:
    go test ./rules ./roles/agent -run '^$' -bench Detect -benchtime 2s -timeout 30m {{ args }}

# the ledger beside Tessera and sumdb/tlog: just bench-ledger -bench.prove 1000000
bench-ledger *args:
    go test ./ledger -run '^$' -bench . -benchtime 3s -timeout 1h {{ args }}

# coverage by package and in all
coverage:
    go test -coverprofile coverage.out ./...
    go tool cover -func coverage.out | tail -n 1

# what is generated from the code
generate:
    go generate ./...

# one static, stripped, reproducible binary: ./daemoneye
build:
    CGO_ENABLED=1 go build {{ static }} -ldflags '{{ ldflags }}' -o daemoneye .

run-procmond *args:
    go run . procmond {{ args }}

run-daemoneye-agent *args:
    go run . agent {{ args }}

run-daemoneye-cli *args:
    go run . {{ args }}
