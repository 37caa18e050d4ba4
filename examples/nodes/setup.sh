#!/bin/sh
# Makes a credential for the guarded service, and an account, through the control socket of node A.
set -eu
if [ ! -s /credential/orders ]; then
    quash verifier add orders > /credential/orders
fi
if ! quash account show dana > /dev/null 2>&1; then
    printf 'correct horse battery staple\n' | quash account add dana --password-stdin
fi
