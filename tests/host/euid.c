/* Says as whom it runs: its file has the set-user-ID bit, which counts only where privileges may be gained. */
#include <stdio.h>
#include <unistd.h>

int main(void) {
    printf("Effective uid: %u\n", (unsigned)geteuid());
    return 0;
}
