# Reads the options of the script that sources this file.
#
#   nj=4      # parallel jobs
#   tag=      # appended to the experiment's name
#   . utils/parse_options.sh
#
# makes `--nj 8 --tag x` (also `--my-tag` for my_tag) set those variables and `--help` print them with their defaults
# and comments. An option is a lower-case variable set at the start of a line above the one that sources this file,
# in the calling script or in a file of the array option_files; not one whose value is computed (x=$y) or an array.
# `--config FILE` sources a shell file first; what is given on the command line wins over it. Words of the array
# option_aliases, like asr_config=train_config, are other names of an option. Afterwards "$@" holds the arguments that
# are no options, the array given_options the names and values of the command line, and given_names the options that
# were given on it or in FILE.

_po_script=${BASH_SOURCE[1]}
[ -n "${option_files+x}" ] || option_files=()
[ -n "${option_aliases+x}" ] || option_aliases=()

_po_die() { echo "$(basename "${_po_script}"): error: $*" >&2; exit 1; }

# name<TAB>default<TAB>help of every option, in the order in which they are written. A later default wins, an earlier help.
_po_options() {
    awk '
        FNR == 1 { over = 0; squote = sprintf("%c", 39) }
        /parse_options\.sh/ && !/^[ \t]*#/ { over = 1 }
        over { next }
        /^[a-z][a-z0-9_]*=/ {
            name = substr($0, 1, index($0, "=") - 1)
            rest = substr($0, length(name) + 2)
            if (rest ~ /^("?[$]|[(])/) next
            first = substr(rest, 1, 1)
            if ((first == "\"" || first == squote) && (end = index(substr(rest, 2), first))) {
                value = substr(rest, 2, end - 1); rest = substr(rest, end + 2)
            } else {
                value = rest; sub(/[ \t].*/, "", value); rest = substr(rest, length(value) + 1)
            }
            help = match(rest, /# */) ? substr(rest, RSTART + RLENGTH) : ""
            if (!(name in order)) { order[name] = ++n; names[n] = name }
            default_of[name] = value
            if (help != "" && !(name in help_of)) { help_of[name] = help }
        }
        END { for (i = 1; i <= n; i++) printf "%s\t%s\t%s\n", names[i], default_of[names[i]], help_of[names[i]] }
    ' "${option_files[@]}" "${_po_script}"
}

_po_help() {
    awk 'NR == 1 { next } /^#/ { sub(/^# ?/, ""); print; next } { exit }' "${_po_script}"
    printf '\noptions:\n'
    { printf '%s\n' "${option_aliases[@]}"; _po_options; } | awk -F '\t' '
        NF < 3 { if (split($0, pair, "=") == 2) also[pair[2]] = also[pair[2]] ", --" pair[1]; next }
        {
            help = $3 ($1 in also ? " (also " substr(also[$1], 3) ")" : "") ($2 == "" ? "" : " [" $2 "]")
            sub(/^ /, "", help)
            printf "  --%-16s %s\n", $1, help
        }'
    printf '  --%-16s %s\n' "config FILE" "source a shell file of name=value lines before the options are read"
}

# The option that a name means: an alias's own, else the name itself.
_po_canonical() {
    local pair
    for pair in "${option_aliases[@]}"; do
        if [ "${pair%%=*}" = "$1" ]; then echo "${pair#*=}"; return; fi
    done
    echo "$1"
}

# The option nearest to a mistyped one, by edit distance; nothing if all are far away.
_po_nearest() {
    { _po_options; printf '%s\n' "${option_aliases[@]%%=*}"; } | awk -F '\t' -v given="$1" '
        function min(a, b) { return a < b ? a : b }
        function distance(a, b,   i, j, d, la, lb) {
            la = length(a); lb = length(b)
            for (i = 0; i <= la; i++) d[i, 0] = i
            for (j = 0; j <= lb; j++) d[0, j] = j
            for (i = 1; i <= la; i++) for (j = 1; j <= lb; j++)
                d[i, j] = min(min(d[i-1, j], d[i, j-1]) + 1, d[i-1, j-1] + (substr(a, i, 1) != substr(b, j, 1)))
            return d[la, lb]
        }
        $1 != "" { x = distance(given, $1); if (name == "" || x < best) { best = x; name = $1 } }
        END { if (name != "" && best <= (length(given) + 2) / 3) printf " (did you mean --%s?)", name }
    '
}

_po_set() {  # option as written, value
    local name=${1#--} default
    name=$(_po_canonical "${name//-/_}")
    if ! default=$(_po_options | awk -F '\t' -v n="${name}" '$1 == n { print $2; found = 1 } END { exit !found }'); then
        _po_die "unknown option $1$(_po_nearest "${name}"); --help lists all"
    fi
    case ${default} in
        true|false)
            case $2 in true|false) ;; *) _po_die "--${name} takes true or false, got '$2'" ;; esac ;;
    esac
    if [[ ${default} =~ ^-?[0-9]+$ && ! $2 =~ ^-?[0-9]+$ ]]; then
        _po_die "--${name} takes a whole number, got '$2'"
    fi
    printf -v "${name}" '%s' "$2"
    given_options+=("--${name}" "$2")
    given_names+=("${name}")
}

_po_source() {  # file of name=value lines
    local _po_file=$1 _po_name _po_known
    [ -f "${_po_file}" ] || _po_die "--config names a shell file of name=value lines; '${_po_file}' is no file" \
        "(a YAML training config is given with --train_config)"
    case ${_po_file} in *.yaml|*.yml) _po_die "--config sources a shell file; give ${_po_file} with --train_config" ;; esac
    local _po_names
    _po_names=$(sed -n 's/^[ \t]*\([A-Za-z_][A-Za-z0-9_]*\)=.*/\1/p' "${_po_file}")
    for _po_name in ${_po_names}; do
        _po_known=$(_po_canonical "${_po_name}")
        _po_options | cut -f1 | grep -qx "${_po_known}" ||
            _po_die "${_po_file} sets the unknown option '${_po_name}'$(_po_nearest "${_po_name}"); --help lists all"
        given_names+=("${_po_known}")
    done
    case ${_po_file} in */*) . "${_po_file}" ;; *) . "./${_po_file}" ;; esac
    for _po_name in ${_po_names}; do
        _po_known=$(_po_canonical "${_po_name}")
        [ "${_po_known}" = "${_po_name}" ] || printf -v "${_po_known}" '%s' "${!_po_name-}"
    done
}

given_options=()
given_names=()
_po_args=("$@")
for ((_po_i = 0; _po_i < ${#_po_args[@]}; _po_i++)); do
    case ${_po_args[_po_i]} in
        --) break ;;
        --help|-h) _po_help; exit 0 ;;
        --config) _po_source "${_po_args[_po_i + 1]:-}" ;;
    esac
done

while [ $# -gt 0 ]; do
    case $1 in
        --) shift; break ;;
        --config)
            given_options+=(--config "$2")
            shift 2 ;;
        --*=*) _po_die "options are written '--name value': give '${1%%=*} ${1#*=}' instead of '$1'" ;;
        --*)
            [ $# -ge 2 ] || _po_die "option $1 needs a value"
            case $2 in --?*) _po_die "option $1 needs a value, got the option $2" ;; esac
            _po_set "$1" "$2"
            shift 2 ;;
        *) break ;;
    esac
done
unset _po_args _po_i
