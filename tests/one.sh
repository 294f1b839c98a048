# A single test of a script that counts; to be sourced. The script sets passed=0, failed=0 and log= (a
# file for what a test prints).
# one NAME COMMAND...: its output is shown where it fails.
one() {
    local name=$1
    shift
    if "$@" >"$log" 2>&1; then
        passed=$((passed + 1))
        echo "ok $name"
    else
        failed=$((failed + 1))
        echo "FAILED $name"
        sed 's/^/    /' "$log"
    fi
}
