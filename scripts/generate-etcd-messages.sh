#!/usr/bin/env bash
# Generates Sources/EtcdMessages/etcd.pb.swift from etcd.proto. Only needed when that file changes: the result is in the
# repository. Builds swift-protobuf's plugin, which takes some minutes the first time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
scripts/install-packages.sh protobuf-compiler
swift build --configuration release --product protoc-gen-swift --scratch-path .build/protobuf
plugin=$(swift build --configuration release --scratch-path .build/protobuf --show-bin-path)/protoc-gen-swift
protoc --plugin="protoc-gen-swift=$plugin" --proto_path=Sources/EtcdMessages \
    --swift_opt=Visibility=Package --swift_opt=UseAccessLevelOnImports=true --swift_out=Sources/EtcdMessages etcd.proto
