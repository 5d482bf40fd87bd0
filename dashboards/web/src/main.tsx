import { render } from 'preact';
import 'uplot/dist/uPlot.min.css';
import './style.css';
import { watchAlerts } from './alerts';
import { loop } from './chart/loop';
import { expose } from './debug';
import { App } from './ui/app';
import { engine, source } from './ui/state';

engine.onChange((between) => loop.touchAll(between));
source.begin();
watchAlerts(() => !source.forced);
render(<App />, document.getElementById('app') as HTMLElement);
expose(engine, source);
