# Each target is one short script of scripts/; all do their own set-up.
.PHONY: setup setup-browser demo check test test-native test-nightly bench
setup: ; @sh scripts/setup
setup-browser: ; @sh scripts/setup-browser
demo:  ; @sh scripts/demo
check: ; @sh scripts/check
test:  ; @sh scripts/test
test-native: ; @sh scripts/test-native
test-nightly: ; @sh scripts/test-nightly
bench: ; @sh scripts/bench
