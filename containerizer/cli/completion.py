"""Print what makes a shell complete this command, with names of containers, images and networks.

    bash    source <(containerizer completion bash)
    zsh     source <(containerizer completion zsh)
    fish    containerizer completion fish | source

In ~/.bashrc, ~/.zshrc or ~/.config/fish/config.fish, for good.
"""

from __future__ import annotations

import argparse

# COMP_WORDS is cut at colons, which names of images have, so the line is cut anew; what is before the last
# colon of the word is the shell's already.
_BASH = r"""
_containerizer() {
    local line="${COMP_LINE:0:COMP_POINT}" words typed found candidates cut
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    typed="${words[-1]}"
    mapfile -t found < <("${words[0]}" complete -- "${words[@]:1}" 2>/dev/null)
    cut=""
    [[ $COMP_WORDBREAKS == *:* && $typed == *:* ]] && cut="${typed%"${typed##*:}"}"
    COMPREPLY=()
    for candidate in "${found[@]}"; do
        if [[ $candidate == :files ]]; then
            compopt -o filenames
            mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "${typed#"$cut"}")
        else
            COMPREPLY+=("${candidate#"$cut"}")
        fi
    done
    [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *[:=] ]] && compopt -o nospace
    return 0
}
complete -F _containerizer containerizer
"""

_ZSH = r"""
_containerizer() {
    local -a found
    found=("${(@f)$(${words[1]} complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
    if (( ${found[(Ie):files]} )); then
        _files
        found=(${found:#:files})
    fi
    local -a open=(${(M)found:#*[:=]}) whole=(${found:#*[:=]})
    (( ${#open} )) && compadd -Q -S '' -- ${open}
    (( ${#whole} )) && compadd -Q -- ${whole}
    return 0
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _containerizer containerizer
"""

_FISH = r"""
function __containerizer_complete
    set -l words (commandline -opc) (commandline -ct)
    for candidate in ($words[1] complete -- $words[2..-1] 2>/dev/null)
        if test "$candidate" = ":files"
            __fish_complete_path (commandline -ct)
        else
            echo $candidate
        end
    end
end
complete -c containerizer -f -a '(__containerizer_complete)'
"""

SCRIPTS = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=sorted(SCRIPTS))


def run(arguments: argparse.Namespace) -> int:
    print(SCRIPTS[arguments.shell].strip())
    return 0
