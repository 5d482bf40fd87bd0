import { sections } from '../data/panels';
import { AlertList } from './alertlist';
import { Footer } from './footer';
import { Header } from './header';
import { Notice } from './notice';
import { Processes } from './processes';
import { Section } from './section';
import { spoken } from './state';
import { Targets } from './targets';
import { Tiles } from './tiles';

export function App() {
  const [first, ...rest] = sections;
  return (
    <>
      <Header />
      <main id="top">
        <Notice />
        <Tiles />
        {first && <Section def={first} />}
        <AlertList />
        {rest.map((def) => <Section key={def.id} def={def} />)}
        <Processes />
        <Targets />
      </main>
      <Footer />
      <div class="sr-only" role="status">{spoken.value}</div>
    </>
  );
}
