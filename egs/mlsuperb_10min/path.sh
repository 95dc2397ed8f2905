# The environment of this recipe's stages; local/path.sh, where there is one, has the last word.
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
. "${root}/utils/env.sh"
if [ -f local/path.sh ]; then . local/path.sh; fi
