export * from './logger.ts';
export * from './metrics-doc.ts';
export * from './naming.ts';
export * from './series-cap.ts';
export * from './telemetry.ts';
