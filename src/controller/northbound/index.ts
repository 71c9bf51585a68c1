export { type ErrorCode, errorCodes, errorsMarkdown, type KnownErrorCode } from './error-codes.ts';
export * from './event-log.ts';
export { observedApi } from './observed-api.ts';
export { type Page, pageOf } from './page.ts';
export { type Problem, refusal, toProblem } from './problem.ts';
export * from './providers.ts';
export * as query from './query.ts';
export * from './route.ts';
export * from './server.ts';
