import { setFlagsFromString } from 'node:v8';

/**
 * Imported before everything else. What a request or a message leaves behind dies young, so the space for young objects need not
 * grow with the load: left alone it takes a third of the memory with a thousand switches, for no measurable speed.
 */
setFlagsFromString('--semi-space-growth-factor=1');
