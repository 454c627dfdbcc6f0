/* The shell of the image busybox: its own, whose words upstream's tests read back, unless it would drop something. It
 * keeps no environment variable whose name is none in a script, such as `data-1`, which tests read back, too: bash does. */
#include <ctype.h>
#include <unistd.h>

static int is_kept(const char *variable) {
    if (isdigit((unsigned char)*variable)) return 0;
    while (isalnum((unsigned char)*variable) || *variable == '_') variable++;
    return *variable == '=';
}

int main(int count, char **arguments, char **environment) {
    (void)count;
    for (char **variable = environment; *variable; variable++)
        if (!is_kept(*variable)) execv("/bin/bash", arguments);
    execv("/bin/busybox", arguments);
    return 127;
}
