/* SPDX-License-Identifier: MIT */
/* The heavy fence: membarrier(2). */
#include "os/os.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

bool gort__os_fence_init(void)
{
	return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

void gort__os_fence(void)
{
	syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}
