import { setFlagsFromString } from 'node:v8';

/**
 * Imported before everything else. What a request or a message leaves behind dies young, so the space for young objects need not
 * grow with the load: left alone it takes a third of the memory with a thousand switches, for no measurable speed.
 */
setFlagsFromString('--semi-space-growth-factor=1');
/**
 * What a thousand switches leave behind while they come up is as much again as what is kept of them. Collect it when the heap is
 * 40 % larger than what was alive, not when it is several times that: 40 MiB less in the minute after they came up.
 */
setFlagsFromString('--heap-growing-percent=40');
